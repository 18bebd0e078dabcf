import cv2
import numpy as np
from pydantic import JsonValue

from tasks.stage import StageContext
from tiny.tables import read_texts, write_rows


def run(context: StageContext) -> dict[str, JsonValue]:
    texts = read_texts(context.inputs["descriptions"])
    write_rows(context.output, texts[: context.params.properties])
    picture = np.full((40, 2000, 3), 200, np.uint8)
    cv2.imwrite(str(context.output / "matrix.png"), picture)
    (context.output / "report.md").write_text("# Properties\n\n![Classes by properties](matrix.png)\n")
    return {"properties": context.params.properties}
