// The form of a search: what is chosen goes into the address, and what the address says stands in the form.
import { change, onChange, query } from "./state.js";
import { duration } from "./units.js";

/** Takes the form over. */
export function start(form) {
  const fields = [...form.elements].filter((field) => field.name);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
  form.addEventListener("change", act);
  // The cross of a search field empties it.
  form.addEventListener("search", act);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && form.contains(event.target)) return event.target.blur();
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    event.preventDefault();
    fields[0].focus();
  });
  onChange(show);

  function act() {
    if (!form.checkValidity()) return;
    const changed = fields.filter((field) => written(field) !== shown(field, query().get(field.name) ?? ""));
    if (changed.length) change({ ...Object.fromEntries(changed.map((field) => [field.name, written(field)])), before: null });
  }

  function show() {
    for (const field of fields) {
      const value = query().get(field.name) ?? "";
      if (field.type === "checkbox") field.checked = value !== "";
      else if (field !== document.activeElement) field.value = shown(field, value);
    }
  }
}

const written = (field) => (field.type === "checkbox" ? (field.checked ? field.value : "") : field.value.trim());

// An endpoint's id and a number of seconds are what links have; people read GET /books/{id} and 250 ms.
function shown(field, value) {
  if (field.name === "endpoint") return named(value);
  if ("duration" in field.dataset && value !== "" && !Number.isNaN(Number(value))) return duration(Number(value));
  return value;
}

function named(id) {
  try {
    const bytes = Uint8Array.from(atob(id.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.trim() || (id ? "unmatched paths" : "");
  } catch {
    return id;
  }
}
