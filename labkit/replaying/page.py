"""A replay as HTML that needs nothing else: no server, no network, no kernel.

    page    <html> style, static picture, data, script </html>          a file of its own
    output  <iframe sandbox="allow-scripts" srcdoc="page">in words</iframe>     in a notebook

Why a frame: two replays in one notebook, or one that was run twice, cannot meet; the notebook's
styles do not leak in, nor these out; and its script has no access to the notebook, whose origin
it does not share. What a frame cannot know, the notebook's theme, it is told; it tells how high
it is. JupyterLab takes frames out of notebooks that are not trusted, and so does GitHub: what
is inside of the element, words, is what they leave. Where scripts are off, the static picture
stays.
"""

from __future__ import annotations

import html
import json
from importlib.resources import files

SCRIPTS = ("data.js", "words.js", "shapes.js", "diagram.js", "network.js",
           "controls.js", "replay.js")

# Runs in the notebook's page, as one frame's handler. Themes: of JupyterLab, then of Sphinx.
ON_LOAD = """
const frame = this, page = document.documentElement;
const theme = () => ({true: 'light', false: 'dark'})[document.body.dataset.jpThemeLight]
  || page.dataset.theme;
const tell = () => frame.contentWindow?.postMessage({labkit: 'theme', theme: theme()}, '*');
for (const one of [document.body, page]) new MutationObserver(tell).observe(one, {
  attributes: true, attributeFilter: ['data-jp-theme-light', 'data-theme']});
window.addEventListener('message', event => {
  if (event.source === frame.contentWindow && event.data.labkit === 'height'
      && !frame.dataset.fixed) frame.style.height = event.data.height + 'px';
});
tell();
"""


def source(*names):
    """Return files of this package, one after the other."""
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8")
                     for name in names)


def page(data, picture, title):
    """Return a whole HTML page.

    Parameters
    ----------
    data : dict
        Of `labkit.replaying.encode`.
    picture : str
        HTML to show until the script runs, or if it never does.
    title : str
    """
    # In a script, HTML knows no escapes: only "<" could end it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>
{source("replay.css")}
</style>
</head>
<body class="labkit-replay-page">
<div class="labkit-replay">{picture}</div>
<script type="application/json" class="labkit-replay-data">{text}</script>
<script type="module">
{source(*SCRIPTS)}
startPage(document);
</script>
</body>
</html>
"""


def output(content, title, alt, width, height, fixed):
    """Return a page inside a frame, as a notebook's output.

    Parameters
    ----------
    content : str
        The page.
    title, alt : str
        A name for the frame, and what is left where it is taken out.
    width : str
        As CSS has it.
    height : int
        In pixels; of a frame that is not `fixed`, until it knows better.
    fixed : bool
    """
    sandbox = 'sandbox="allow-scripts" ' + 'data-fixed="true" ' * fixed
    words = (f"<p>{html.escape(alt)}</p><p>It plays where scripts run: trust this notebook, "
             f"or run the cell.</p>")
    return (f'<iframe class="labkit-replay-frame" {sandbox}title="{html.escape(title)}" '
            f'style="width: {html.escape(width)}; height: {height}px; border: 0" '
            f'onload="{_attribute(ON_LOAD.strip())}" '
            f'srcdoc="{_attribute(content)}">{words}</iframe>')


def _attribute(text):
    """Escape what ends an attribute, and no more: the rest would double the size."""
    return text.replace("&", "&amp;").replace('"', "&quot;")
