// Copy buttons: the text of the element they name goes to the clipboard, and the button says so for a moment.

export function start() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const done = await copied(source);
    const word = button.querySelector("[data-word]");
    word.textContent = done ? "Copied" : "Press Ctrl-C";
    setTimeout(() => (word.textContent = "Copy"), 2000);
  });
}

// Without the clipboard's permission (plain http on another host) the text is selected instead.
async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return false;
  }
}
