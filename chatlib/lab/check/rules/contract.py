"""The contract of the three apps, as rules. The reader, the library and its tests share them."""

from chatlib.lab.check.rules.contract_chat import CHAT
from chatlib.lab.check.rules.contract_echo import ECHO
from chatlib.lab.check.rules.contract_items import ITEMS

__all__ = ["CHAT", "ECHO", "ITEMS"]
