"""How a report looks: on wide and narrow screens, dark or light, and on paper."""

STYLE = """
body { font-size: 15.5px; }
h1 { overflow-wrap: anywhere; font-weight: 650; }
h2 { font-weight: 620; }
.lead { max-width: 46rem; overflow-wrap: anywhere; }
nav ul { padding-left: 0; list-style: none; font-size: .93rem; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); gap: 1rem 1.4rem;
  margin: 1.2rem 0; }
dl.facts div { border-top: 2px solid var(--line); padding-top: .45rem; }
dl.facts dt { color: var(--faint); font-size: .84rem; }
dl.facts dd { margin: 0; font-size: 1.3rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
dl.facts dd small { display: block; font-size: .82rem; font-weight: 400; color: var(--faint); }
.notice { border-left: 3px solid #d68b00; background: var(--soft); padding: .6rem .9rem; max-width: 46rem;
  overflow-wrap: anywhere; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: 0; margin: .4rem 0 .2rem; list-style: none;
  font-size: .86rem; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .4em; border-radius: 2px;
  border: 1px solid color-mix(in srgb, var(--text) 25%, transparent); vertical-align: -.04em; }
td.text { overflow-wrap: anywhere; }
figure.plot { margin: .8rem 0 .4rem; }
figure.plot figcaption { font-size: .88rem; max-width: 46rem; }
details { margin: .3rem 0 1rem; font-size: .93rem; }
summary { cursor: pointer; color: var(--accent); font-size: .88rem; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .9rem; padding: 0;
  list-style: none; margin: .8rem 0; }
.faces li { font-size: .82rem; line-height: 1.35; color: var(--faint); }
.faces img { display: block; width: 7rem; height: 7rem; border-radius: 4px; margin-bottom: .3rem; }
.faces b { color: var(--text); font-weight: 600; }
.bar { display: inline-flex; width: 9rem; height: .8rem; vertical-align: middle; border-radius: 2px;
  overflow: hidden; }
.bar i { display: block; height: 100%; }
.js-plotly-plot [class$="tick"] text { fill: var(--text) !important; }
.js-plotly-plot .xtick text, .js-plotly-plot .g-xtitle text { fill: var(--faint) !important; }
.js-plotly-plot .js-line { stroke: var(--text) !important; }
@media (max-width: 34rem) {
  main { padding: 1.2rem .9rem 3rem; } h1 { font-size: 1.45rem; } nav ul { columns: 1; }
  dl.facts { grid-template-columns: 1fr 1fr; }
}
@media print {
  :root { color-scheme: light; --text: #1c2024; --faint: #555a61; --line: #d9dce0; --paper: #ffffff; --soft: #f6f7f9;
    --accent: #1c2024; }
  @page { margin: 16mm 15mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav, .plot + details { display: none; }
  .faces { grid-template-columns: repeat(5, 1fr); } .faces img { width: 100%; height: auto; }
  .faces li, dl.facts div, .plot { break-inside: avoid; } table { break-inside: auto; } tr { break-inside: avoid; }
  .wide { overflow: visible; } th, td { white-space: normal; }
  .plot div { width: 100% !important; height: auto !important; }
  h3, .key, p:has(+ .faces), p:has(+ .plot), p:has(+ h3) { break-after: avoid; }
  .svg-container { aspect-ratio: var(--shape); }
  .main-svg { width: 100% !important; height: 100% !important; }
}
"""

# A browser lays out for paper without telling figures of it: they are scaled, not drawn again.
SCRIPT = """
const every = (parts, act) => document.querySelectorAll(parts).forEach(act);
addEventListener('beforeprint', () => every('.main-svg', svg => {
  const [width, height] = ['width', 'height'].map(side => svg.getAttribute(side));
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.closest('.svg-container').style.setProperty('--shape', `${width} / ${height}`);
}));
addEventListener('afterprint', () => every('.main-svg', svg => svg.removeAttribute('viewBox')));
addEventListener('load', () => {
  // A finger that moves over a figure is to scroll the page, not to zoom the figure.
  if (!matchMedia('(pointer: coarse)').matches) return;
  every('.js-plotly-plot', plot => Plotly.relayout(plot, { dragmode: false }));
});
"""
