"""How a job is written in an address: by its public id, as the API gives it; its plain UUID is understood too."""

import re
from uuid import UUID

HEX = "[0-9a-f]"


class JobAddress:
    """`video_<hex>`, `cmpl-<hex>`, `chatcmpl-<hex>`, `resp_<hex>` or a UUID ↔ UUID. A view reached by the wrong prefix
    decides by the job's kind."""

    regex = rf"(?:(?:video_|cmpl[_-]|chatcmpl-|resp_){HEX}{{32}}|{HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}})"

    def to_python(self, value: str) -> UUID:
        return UUID(hex=re.sub(r"^(video_|cmpl[_-]|chatcmpl-|resp_)", "", value))

    def to_url(self, value: object) -> str:
        text = str(value)
        if not re.fullmatch(self.regex, text):
            raise ValueError(f"{text} is no id of a job")
        return text
