"""Settings files: text to frozen Structs, every problem of a file reported at once, in words.

`files` reads text, `decoding` makes Structs of tables, `sections` declares what every process has,
`c_sections` and `stores` are for the config files of the C system, `loading` takes all the steps.
"""

from __future__ import annotations

from vxutils.settings.decoding import Decoded, Problem, decode, setting_paths
from vxutils.settings.files import SettingsError, is_c_config, parse_c_json, parse_toml, read_text
from vxutils.settings.sections import AlertSettings, ProcessSettings, ServerSettings

__all__ = [
    "AlertSettings",
    "Decoded",
    "Problem",
    "ProcessSettings",
    "ServerSettings",
    "SettingsError",
    "decode",
    "is_c_config",
    "parse_c_json",
    "parse_toml",
    "read_text",
    "setting_paths",
]
