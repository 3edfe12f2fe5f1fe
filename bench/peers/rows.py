"""Rows as bench/bench.h has them, for the programs that measure others beside ours.

In every row that has a reference, the value is ours and the reference is theirs, in the same unit; the aim is what our
value may be at most: the reference divided by the factor that is aimed for.
"""

import argparse
import json
import statistics
import sys


def row(name, value, unit, reference=None, reference_value=None, factor=None):
    ratio = value / reference_value if reference else None
    aim = reference_value / factor if factor else None
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "reference": {"name": reference, "value": reference_value} if reference else None,
        "ratio": ratio,
        "aim": aim,
        "met": value <= aim if factor else None,
    }


def print_rows(rows, as_json):
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'NAME':<50} {'VALUE':>10}  {'UNIT':<16} {'REFERENCE':<38} {'RATIO':>7} {'AIM':>9}  MET")
    for r in rows:
        reference = f"{r['reference']['name']} {r['reference']['value']:.4g}" if r["reference"] else ""
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.3f}"
        aim = "" if r["aim"] is None else f"<= {r['aim']:.3g}"
        met = {None: "", True: "yes", False: "NO"}[r["met"]]
        value = f"{r['name']:<50} {r['value']:>10.4g}  {r['unit']:<16}"
        print(f"{value} {reference:<38} {ratio:>7} {aim:>9}  {met}".rstrip())


def median(values):
    return statistics.median(values)


def say(text):
    print(text, file=sys.stderr, flush=True)


def read_flags(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-o", dest="output", choices=["json"], help="an array of rows instead of a table")
    return parser.parse_args()
