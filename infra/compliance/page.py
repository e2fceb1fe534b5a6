"""The HTML page of a report: one style, no script, nothing loaded from elsewhere."""

from string import Template

__all__ = ["PAGE"]

PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  @page { size: A4 landscape; margin: 12mm }
  html { font: 15px/1.45 system-ui, sans-serif }
  body { color: #1d2430; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.7rem; margin: 0 0 1rem }
  h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; break-after: avoid }
  h1 + p { border-left: 4px solid #b7791f; background: #fdf6e3; padding: .7rem 1rem; margin: 0 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #d9dee6;
           overflow-wrap: anywhere }
  th { color: #5b6675; font-weight: 600; font-size: .85rem }
  tr { break-inside: avoid }
  td:first-child { font-weight: 600 }
  td:first-child { width: 16% }
  td:nth-child(2):nth-last-child(4) { width: 26% }
  td:nth-child(4):nth-last-child(2) { width: 18%; font-size: .85rem }
  td:nth-child(5) { width: 14%; font-size: .8rem; color: #5b6675 }
  strong.pass { color: #1b7a3d }
  strong.fail { color: #b3261e }
  strong.needs-counsel { color: #8a5a00 }
  strong.not-checked { color: #5b6675 }
  @media print { html { font-size: 10px } body { margin: 0; padding: 0; max-width: none } }
</style>
$body</html>
""")
