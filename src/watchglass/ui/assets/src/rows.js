// Rows that open, without a mouse: Esc closes the row, the arrows fold and unfold what is below it.

export function start() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
    const row = event.target.closest("[data-row]");
    if (!row) return;
    if (event.key === "Escape") close(row);
    const link = row.querySelector("[data-fold]");
    const wanted = { ArrowLeft: "open", ArrowRight: "closed" }[event.key];
    if (link && wanted === link.dataset.fold) link.click();
  });
}

function close(row) {
  const details = row.querySelector("details[open]") ?? row.closest("details[open]");
  if (!details) return;
  details.open = false;
  row.focus();
}
