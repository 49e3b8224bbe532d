"""How pages look: one style sheet, with the colours of two shipped themes that are told apart with any kind of sight."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from brokertuner_tui.html.markup import Markup

_LIGHT, _DARK = "colour-blind-light", "colour-blind"
_USED = ("foreground", "background", "surface", "panel", "accent", "better", "worse", "best", "hand", "quiet", "line")


@cache
def sheet() -> Markup:
    """The contents of the page's `<style>`. Paper is light, whatever the screen is."""
    light, dark = _colours(_LIGHT), _colours(_DARK)
    schemes = (
        f":root{{color-scheme:light;{light}}}@media screen and (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}"
    )
    return Markup(schemes + "".join(line.strip() for line in _RULES.splitlines()))


def _colours(theme: str) -> str:
    text = files("brokertuner_tui").joinpath("themes", f"{theme}.toml").read_text(encoding="utf-8")
    colours = tomllib.loads(text)["colors"]
    return "".join(f"--{name}:{colours[name]};" for name in _USED)


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--background);color:var(--foreground);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:920px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:52px 0 6px;letter-spacing:-.005em}
h3{font-size:1rem;margin:32px 0 4px}
p{margin:6px 0 12px;max-width:70ch}
a{color:var(--accent)}
.quiet,.note,.sub{color:var(--quiet)}
.sub{margin:0 0 20px;overflow-wrap:anywhere}
.note{font-size:.85rem;max-width:none}
.verdict{font-size:1.2rem;line-height:1.4;margin:20px 0 24px;padding:14px 18px;background:var(--surface);
 border-left:5px solid var(--quiet);border-radius:4px;max-width:none}
.verdict.good{border-color:var(--better)}
.verdict.bad{border-color:var(--worse)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;padding:0;margin:0 0 24px;list-style:none}
.tiles li{background:var(--surface);border-radius:6px;padding:12px 14px}
.tiles span{display:block;color:var(--quiet);font-size:.82rem;line-height:1.35}
.tiles b{display:block;font-size:1.3rem;line-height:1.35;font-weight:650;font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 20px;margin:10px 0}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
nav{display:flex;flex-wrap:wrap;gap:2px 18px;margin:0 0 8px;font-size:.92rem}
figure{margin:18px 0 26px;break-inside:avoid}
figcaption{font-weight:600;margin:0 0 4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin:0 0 6px;padding:0;list-style:none;font-size:.85rem;color:var(--quiet)}
.legend li{display:flex;align-items:center;gap:6px}
svg{display:block;width:100%;height:auto;overflow:visible}
.swatch{width:24px;height:16px;flex:none}
.narrow{display:none;max-width:480px}
.of-many{margin:18px 0 2px}
.grid-of-charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:8px 20px}
.grid-of-charts figure{margin:6px 0}
.grid-of-charts svg{max-width:340px}
.grid-of-charts figcaption{font-size:.9rem}
svg text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--foreground)}
svg .tick,svg .small{font-size:12px;fill:var(--quiet)}
svg .tick,svg .value{font-variant-numeric:tabular-nums}
.grid{stroke:var(--line);stroke-width:1;fill:none;opacity:.55}
.axis{stroke:var(--quiet);stroke-width:1;fill:none}
.shade{fill:var(--panel);opacity:.5}
.fill{fill:var(--role);stroke:none}
.soft{opacity:.6}
.faint{opacity:.35}
.area{fill:var(--role);opacity:.2;stroke:none}
.stroke{stroke:var(--role);stroke-width:1.75;fill:none;stroke-linejoin:round}
.stroke.thick{stroke-width:2.25}
.stroke.bar{stroke-width:1.25;opacity:.65}
.stroke.hollow{fill:var(--background)}
.dashed{stroke-dasharray:5 4}
.hit{fill:transparent}
svg .text{fill:var(--role)}
g:hover>.fill,g:hover>.stroke{stroke:var(--foreground)}
svg,.plain{--role:var(--quiet)}
.ours{--role:var(--accent)}
.low{--role:var(--better)}
.high,.failed{--role:var(--worse)}
.best{--role:var(--best)}
.hand{--role:var(--hand)}
.default,.muted{--role:var(--quiet)}
.reference,.slo{--role:var(--foreground)}
g.ours>.label,g.best>.label{font-weight:650}
.scroll{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding:0 0 6px}
th,td{padding:5px 12px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--quiet);white-space:nowrap}
tbody th{color:inherit}
table.dense{font-size:.8rem}
.dense th,.dense td{padding-right:9px}
.num{text-align:right;white-space:nowrap}
tr.best td,tr.ours td,tr.ours th{font-weight:650}
tr.failed td{color:var(--worse)}
summary{cursor:pointer;padding:6px 0;font-weight:600}
pre{background:var(--surface);border-radius:6px;padding:14px 16px;margin:0;overflow-x:auto;
 font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em;overflow-wrap:anywhere}
.copied{position:relative}
button{position:absolute;top:8px;right:8px;font:inherit;font-size:.85rem;padding:3px 12px;cursor:pointer;
 color:var(--foreground);background:var(--background);border:1px solid var(--line);border-radius:5px}
button:hover,button:focus-visible{border-color:var(--accent)}
footer{margin-top:56px;padding-top:12px;border-top:1px solid var(--line);color:var(--quiet);font-size:.85rem}
@media screen and (max-width:620px){
 main{padding:22px 16px 48px}
 .wide{display:none}
 .narrow{display:block}
 .scroll table{min-width:540px}
 .verdict{font-size:1.08rem;padding:12px 14px}
 dl{gap:3px 14px}
 h2{margin-top:40px}
}
@media print{
 body{font-size:10.5pt}
 main{max-width:none;padding:0}
 nav,button{display:none}
 .tiles{grid-template-columns:repeat(5,1fr)}
 h2,h3{break-after:avoid}
 pre{white-space:pre-wrap;overflow-wrap:anywhere}
 .scroll{overflow:visible}
 details:not([open]){display:none}
}
"""
