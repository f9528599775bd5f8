// A list of listeners. One that throws is reported to the host and does not keep the others from
// being called.
export class Emitter {
    listeners = new Set();
    get heard() {
        return this.listeners.size > 0;
    }
    /** Adds a listener; the returned function removes it. */
    on = (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    };
    emit(...args) {
        for (const listener of [...this.listeners]) {
            try {
                listener(...args);
            }
            catch (error) {
                setTimeout(() => {
                    throw error;
                });
            }
        }
    }
}
