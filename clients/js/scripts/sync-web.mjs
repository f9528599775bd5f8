// Copies the compiled client (dist/*.js) to web/assets/client, from where the service embeds it, so that running the
// service needs no Node. With --check it changes nothing and fails when the two differ.
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';

const from = new URL('../dist/', import.meta.url);
const to = new URL('../../../web/assets/client/', import.meta.url);

/** The folder's modules by name; an absent folder has none. */
async function modules(folder) {
  const names = await readdir(folder).catch(() => []);
  const found = new Map();
  for (const name of names.filter((name) => name.endsWith('.js')).sort()) {
    found.set(name, await readFile(new URL(name, folder), 'utf8'));
  }
  return found;
}

const built = await modules(from);
const served = await modules(to);
if (built.size === 0) {
  console.error('sync-web: dist is empty; run `npm run compile` first');
  process.exit(1);
}

const differing = [...new Set([...built.keys(), ...served.keys()])].filter((name) => built.get(name) !== served.get(name));

if (process.argv.includes('--check')) {
  if (differing.length > 0) {
    console.error(`sync-web: web/assets/client is not the built client (${differing.join(', ')}); run \`npm run build\``);
    process.exit(1);
  }
  console.log(`sync-web: ${built.size} modules, all as built`);
} else {
  await mkdir(to, { recursive: true });
  for (const name of differing) {
    if (built.has(name)) await writeFile(new URL(name, to), built.get(name));
    else await rm(new URL(name, to));
  }
  console.log(`sync-web: ${differing.length} of ${built.size} modules copied to web/assets/client`);
}
