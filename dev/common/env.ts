/** Where the neighbours listen unless DEV_BIND_ADDRESS says otherwise (in containers it does). */
export const LOOPBACK = '127.0.0.1';

/** How the development neighbours read their environment: one way to find a port, an address, a list. */
export type Env = Readonly<Record<string, string | undefined>>;

/** A whole number from `min` to `max`. */
export function numberFrom(
  env: Env,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const text = env[name]?.trim();
  if (!text) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name}=${text} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

/** A default port, moved by PORT_OFFSET. */
export function shiftedPort(env: Env, standard: number): number {
  return standard + numberFrom(env, 'PORT_OFFSET', 0, 0, 65_535 - standard);
}

/** A port set by name is used as it is (0 takes a free one); a default one moves with PORT_OFFSET. */
export function portFrom(env: Env, name: string, standard: number): number {
  return numberFrom(env, name, shiftedPort(env, standard), 0, 65_535);
}

/** A `host:port` set by name, or the loopback address of a default port moved by PORT_OFFSET. */
export function addressFrom(env: Env, name: string, standard: number): string {
  return env[name]?.trim() || `127.0.0.1:${shiftedPort(env, standard)}`;
}

/** A comma-separated list; empty when the variable is not set. */
export function listFrom(env: Env, name: string): string[] {
  return (env[name] ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
