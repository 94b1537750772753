"""The JSON Schema of a config file, for editors that complete and check settings as they are written.

Made from the settings and their help texts; there is no second copy.
"""

from __future__ import annotations

from typing import Any

from gradual.config.run import RunConfig
from gradual.config.yaml_file import SHORTHAND

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what `load_config` reads: `model` and `facts` may be a text alone as well."""
    schema = RunConfig.model_json_schema()
    for section, name in SHORTHAND.items():
        whole = schema["properties"][section]
        plain = schema["$defs"][whole["$ref"].rpartition("/")[2]]["properties"][name]
        forms = plain.get("anyOf", [{key: plain[key] for key in ("type", "minLength") if key in plain}])
        described = {"description": whole["description"]} if "description" in whole else {}
        schema["properties"][section] = {"anyOf": [{"$ref": whole["$ref"]}, *forms]} | described
    return {"$schema": DIALECT, "title": "Settings of gradual"} | {k: v for k, v in schema.items() if k != "title"}
