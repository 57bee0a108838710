"""Reads the first sheet of a workbook with openpyxl, which nobody here wrote, and prints what a spreadsheet would make of
each cell."""

import json
import sys

from openpyxl import load_workbook

sheet = load_workbook(sys.argv[1]).worksheets[0]
formulas = sum(cell.data_type == "f" for row in sheet.iter_rows() for cell in row)
rows = [[{"type": type(cell.value).__name__, "value": str(cell.value)} for cell in row] for row in sheet.iter_rows()]
json.dump({"formulas": formulas, "rows": rows}, sys.stdout)
