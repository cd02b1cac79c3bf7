"""What keeps people from reading a page, each as a script that lists what it finds there."""

from __future__ import annotations

UNNAMED = """() => [...document.querySelectorAll('a, button, select, input:not([type=hidden]), [role]')]
  .filter(e => e.checkVisibility() && !['status', 'alert'].includes(e.getAttribute('role')))
  .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length
    || e.textContent.trim() || e.title))
  .map(e => e.outerHTML.slice(0, 120))"""

TWICE = """() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  return ids.filter((id, at) => ids.indexOf(id) !== at) }"""

DANGLING = """() => [...document.querySelectorAll('[aria-labelledby], [aria-controls], use, label[for]')].flatMap(e =>
  [e.getAttribute('aria-labelledby'), e.getAttribute('aria-controls'), e.getAttribute('href')?.slice(1), e.htmlFor]
    .filter(id => id && !document.getElementById(id)))"""

UNLABELLED = """() => [...document.querySelectorAll('svg')].filter(e => !e.closest('[aria-hidden=true]')
  && !(e.getAttribute('role') === 'img' && e.getAttribute('aria-label')) && !e.parentElement.closest('svg'))
  .map(e => e.outerHTML.slice(0, 120))"""

# Contrast after WCAG 2: every visible text against the colour behind it.
FAINT = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1] };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const behind = e => { const chain = [];
    for (; e; e = e.parentElement) chain.unshift(parse(getComputedStyle(e).backgroundColor));
    return chain.reduce((under, top) => over(top, under), [255, 255, 255]) };
  const light = rgb => rgb.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement;
    if (!node.data.trim() || !e.checkVisibility({ checkOpacity: true })) continue;
    if (e.closest('.visually-hidden, script, noscript, svg')) continue;
    const under = behind(e), ink = over(parse(getComputedStyle(e).color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.data.trim().slice(0, 40)}`);
  }
  return [...new Set(found)];
}"""
