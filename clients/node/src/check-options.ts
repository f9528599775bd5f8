// Which callers are accepted. Options that cannot mean what they say are refused where they are
// written: a misspelt one would check nothing.

export interface CheckOptions {
  /** Roles that are accepted; every role by default, nobody if the list is empty. */
  roles?: readonly string[];
  /** `aal2`: a second factor is required. `aal1`, which every session has, requires nothing more. */
  acr?: 'aal1' | 'aal2';
  /** The maximum number of seconds since the user last authenticated. */
  maxAge?: number;
  /**
   * Always ask the auth service: for when missing an ending of a moment ago would cost more than a
   * request.
   */
  exact?: boolean;
}

const NAMES = Object.keys({ roles: 0, acr: 0, maxAge: 0, exact: 0 } satisfies Record<keyof CheckOptions, 0>);

/** @throws {TypeError} for an unknown option, and for a value that an option cannot have. */
export function refuseWrongChecks(options: CheckOptions): void {
  refuseUnknown(options, NAMES);
  const { roles, acr, maxAge } = options;
  // A text would accept every role whose name is a part of it.
  if (roles !== undefined && !Array.isArray(roles)) throw new TypeError('`roles` is a list of roles');
  if (acr !== undefined && acr !== 'aal1' && acr !== 'aal2') throw new TypeError('`acr` is aal1 or aal2');
  if (maxAge !== undefined && !(typeof maxAge === 'number' && maxAge >= 0)) throw new TypeError('`maxAge` is a number of seconds');
}

/** @throws {TypeError} for an option that is not among these names. */
export function refuseUnknown(options: object, names: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`\`${unknown}\` is not an option`);
}
