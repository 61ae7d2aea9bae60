from .coverage import OvertonEvaluation as OvertonEvaluation
from .false_balance import FalseBalanceEvaluation as FalseBalanceEvaluation
from .reading import first_words as first_words
from .reading import is_refusal as is_refusal
from .recorded import score_responses as score_responses
from .settings import OvertonSettings as OvertonSettings
