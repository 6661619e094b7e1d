"""Excel workbooks for people to read: fixed headings, filters, and texts that are never formulas."""

import io
import math
import re
import zipfile
from dataclasses import dataclass
from datetime import datetime

from glomfeat.core.words import FORMULA, printable

ALIKE = (1980, 1, 1, 0, 0, 0)  # the time of everything in the file, so that the same tables give the same bytes
DIGITS = 4
MOST_ROWS = 2**20 - 1  # that a sheet of Excel holds below its headings
NO_XML = re.compile("[\ufffe\uffff]")
NARROW, WIDE = 9, 46


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook.

    Attributes
    ----------
    title : str
        At most 31 letters.
    table : pandas.DataFrame
        Its columns are the headings.
    flags : frozenset of str
        Texts that are set in red.
    """

    title: str
    table: object
    flags: frozenset = frozenset()


def write_workbook(sheets, path):
    """Write a workbook row by row, in little more memory than its file has; the same sheets give the same bytes.

    Rows beyond what a sheet of Excel can hold are left out. The headings and the first column stay in view when
    scrolling, and each heading has a filter. Numbers are rounded to four digits; a text that would be taken for a
    formula is marked as a text.

    Parameters
    ----------
    sheets : sequence of Sheet
    path : Path
    """
    from openpyxl import Workbook
    from openpyxl.writer.excel import ExcelWriter

    book = Workbook(write_only=True)
    book.properties.creator = "glomfeat"
    book.properties.created = book.properties.modified = datetime(*ALIKE)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.title), sheet)
    packed = io.BytesIO()  # after an error of the disk, openpyxl would print further ones
    ExcelWriter(book, _Undated(packed, "w", zipfile.ZIP_DEFLATED)).save()
    path.write_bytes(packed.getbuffer())


def _fill(page, sheet):
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    table, last = sheet.table.head(MOST_ROWS), get_column_letter(max(1, len(sheet.table.columns)))
    page.freeze_panes = "B2"
    page.auto_filter.ref = f"A1:{last}{len(table) + 1}"
    for place, name in enumerate(table.columns, 1):
        page.column_dimensions[get_column_letter(place)].width = _width(name, table[name])
    bold, red, wrapped = Font(bold=True), Font(bold=True, color="A3001B"), Alignment(wrap_text=True, vertical="top")

    def cell(value):
        """What to write a cell from: plain data, or a cell with a style."""
        if isinstance(value, float):
            return round(value, DIGITS) if math.isfinite(value) else None
        if not isinstance(value, str):
            return value
        text = NO_XML.sub("\ufffd", printable(value, lines=True))
        formula, long = FORMULA.match(text), len(text) > WIDE
        if not (formula or long or text in sheet.flags):
            return text
        made = WriteOnlyCell(page, text)
        made.data_type, made.quotePrefix = "s", bool(formula)
        if text in sheet.flags:
            made.font = red
        if long:
            made.alignment = wrapped
        return made

    headings = [WriteOnlyCell(page, printable(name)) for name in table.columns]
    for heading in headings:
        heading.data_type, heading.font, heading.alignment = "s", bold, wrapped
    page.append(headings)
    for row in table.itertuples(index=False, name=None):
        page.append([cell(value) for value in row])


def _width(name, values):
    """The width of a column: that of its longest text; very long texts wrap."""
    texts = [len(value) for value in values if isinstance(value, str)]
    longest = max([*map(len, str(name).split()), *texts], default=0)
    return min(WIDE, max(NARROW, longest + 3))


class _Undated(zipfile.ZipFile):
    """An archive whose members carry no time of their own."""

    def writestr(self, name, data):
        known = zipfile.ZipInfo(name, ALIKE)
        known.compress_type, known.external_attr = self.compression, 0o600 << 16
        super().writestr(known, data)

    def write(self, path, name):
        known = zipfile.ZipInfo(name, ALIKE)
        known.compress_type, known.external_attr = self.compression, 0o600 << 16
        with open(path, "rb") as source, self.open(known, "w") as target:  # noqa: PTH123 (openpyxl gives a text)
            while block := source.read(2**20):
                target.write(block)
