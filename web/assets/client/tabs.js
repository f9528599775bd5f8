// The other tabs of this browser, over BroadcastChannel. Messages stay within the origin and are
// never stored. Without the API each tab works alone, and the service's grace period for two
// refreshes at once keeps them all signed in.
import { Emitter } from './emitter.js';
export class Tabs {
    channel;
    messages = new Emitter();
    onMessage = this.messages.on;
    constructor(environment, name) {
        if (environment.BroadcastChannel === undefined)
            return;
        this.channel = new environment.BroadcastChannel(name);
        this.channel.onmessage = (event) => this.messages.emit(event.data);
    }
    tell(message) {
        this.channel?.postMessage(message);
    }
    /** The next message with a token, or null when none arrives in time. */
    nextToken(withinMs) {
        return new Promise((resolve) => {
            const finish = (grant) => {
                clearTimeout(timer);
                off();
                resolve(grant);
            };
            const timer = setTimeout(finish, withinMs, null);
            const off = this.onMessage((message) => {
                if (message.type === 'token')
                    finish(message.grant);
            });
        });
    }
    close() {
        this.channel?.close();
    }
}
