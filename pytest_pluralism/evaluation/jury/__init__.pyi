from .evaluations import AgainstReference as AgainstReference
from .evaluations import ChoiceEvaluation as ChoiceEvaluation
from .evaluations import WrittenEvaluation as WrittenEvaluation
