// A list of listeners. One that throws is reported to the host and does not keep the others from
// being called.

export class Emitter<Args extends unknown[]> {
  private readonly listeners = new Set<(...args: Args) => void>();

  get heard(): boolean {
    return this.listeners.size > 0;
  }

  /** Adds a listener; the returned function removes it. */
  on = (listener: (...args: Args) => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  emit(...args: Args): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(...args);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }
  }
}
