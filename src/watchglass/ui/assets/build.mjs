// Builds the browser's assets: node build.mjs <folder>. The folder is emptied first.
// Every file carries a hash of its content in its name; manifest.json says which name is which.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "..", "static"));
const modules = join(here, "node_modules");
const manifest = {};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/page.js", "src/page.css", "src/traces.css", "src/plans.css", "src/postgresql.css", "src/plain.css"],
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  metafile: true,
  legalComments: "none",
  logLevel: "warning",
  // light-dark() and :has() are the newest things the page uses.
  target: ["chrome123", "firefox121", "safari17.5"],
  entryNames: "[name].[hash]",
  chunkNames: "[name].[hash]",
  assetNames: "[name].[hash]",
  loader: { ".woff2": "file" },
});
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  if (output.entryPoint) manifest[basename(output.entryPoint)] = basename(path);
}

// htmx is served as its authors ship it.
copy(join(modules, "htmx.org/dist/htmx.min.js"), "htmx.js");
copy(join(here, "src/favicon.svg"), "favicon.svg");
publish("licenses.txt", Buffer.from(licenses()));
writeFileSync(join(out, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");

function copy(from, name) {
  publish(name, readFileSync(from));
}

function publish(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  manifest[name] = `${basename(name, extname(name))}.${hash}${extname(name)}`;
  writeFileSync(join(out, manifest[name]), content);
}

// The licences of what the bundles contain, as those licences ask.
function licenses() {
  const used = new Set(["htmx.org"]);
  for (const input of Object.keys(result.metafile.inputs)) {
    const [, name] = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//) ?? [];
    if (name) used.add(name);
  }
  return [...used].sort().map(licence).join("\n\n");
}

function licence(name) {
  const folder = join(modules, name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder, { withFileTypes: true }).filter(isLicence);
  const texts = files.map((file) => readFileSync(join(folder, file.name), "utf8").trim());
  return [`${name} ${version} (${license})`, "-".repeat(72), ...texts].join("\n");
}

function isLicence(file) {
  return file.isFile() && /^(licen[cs]e|notice|copyright)/i.test(file.name);
}
