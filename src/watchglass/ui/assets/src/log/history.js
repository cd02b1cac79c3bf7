// Pages of lines that are stored, and what the service says of them.

/** A page of lines, the oldest first, with what else the answer says. Throws an Error with the service's sentence. */
export async function page(address, query) {
  const response = await fetch(`${address}?${query}`, { headers: { accept: "application/json" } });
  if (response.status === 401) location.reload();
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The service answers ${response.status}.`);
  return { ...answer, lines: answer.records.toReversed() };
}
