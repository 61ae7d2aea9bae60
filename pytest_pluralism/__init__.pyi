from .datasets.panels.loading import load_panel as load_panel
from .datasets.preferences.file import load_preferences as load_preferences
from .datasets.steering.file import load_steering as load_steering
from .datasets.surveys.loading import load_survey as load_survey
from .datasets.surveys.respondents import survey_from_respondents as survey_from_respondents
from .datasets.windows.loading import load_windows as load_windows
from .models import load_entailment_model as load_entailment_model
from .models import load_model as load_model
from .models.composed.functions import FunctionModel as FunctionModel
from .models.composed.mixture import mixture as mixture
from .models.composed.modular import modular as modular
from .notebook import evaluate as evaluate
from .notebook import measure as measure
from .notebook import to_frame as to_frame

__version__: str
