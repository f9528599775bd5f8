// What a verifier is given, refused where it cannot be meant: an address that no request can go to, a
// secret that anybody knows. The complaints do not repeat it: an address may have a password.

/** What is left where a shell, Compose or Spring was to put a variable in, and did not. */
const PLACEHOLDER = /^(\$\{[^}]*\}|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%)$/;

/** @throws {TypeError} unless it is an address of HTTP; what is undefined is not given. */
export function httpAddress<T extends string | URL | undefined>(option: string, url: T): T {
  if (url !== undefined && !isAddress(/^https?:\/\/[^/]/i, String(url))) {
    throw new TypeError(`\`${option}\` must begin with http:// or https:// and name a host`);
  }
  return url;
}

/** @throws {TypeError} unless it is an address of Redis; what is undefined is not given. */
export function redisAddress(option: string, url: string | undefined): string | undefined {
  if (url !== undefined && !isAddress(/^rediss?:\/\/[^/]/i, url)) {
    throw new TypeError(`\`${option}\` must begin with redis:// or rediss:// and name a host`);
  }
  return url;
}

function isAddress(beginning: RegExp, url: string): boolean {
  return beginning.test(url) && URL.canParse(url) && new URL(url).hostname !== '';
}

/** @throws {TypeError} for a secret with which anybody could sign. */
export function knownToNobody(option: string, secrets: readonly string[]): readonly string[] {
  const isText = (secret: unknown): boolean => typeof secret === 'string' && secret !== '';
  if (!Array.isArray(secrets) || secrets.length === 0 || !secrets.every(isText)) throw new TypeError(`\`${option}\` is empty, or no text`);
  for (const secret of secrets) {
    if (PLACEHOLDER.test(secret)) throw new TypeError(`\`${option}\` is a variable that was not replaced`);
  }
  return secrets;
}
