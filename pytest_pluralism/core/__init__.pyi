from .records import Estimate as Estimate
from .records import Gate as Gate
from .records import Outcome as Outcome
from .records import Verdict as Verdict
from .records import Witness as Witness
from .verdict import decide as decide
