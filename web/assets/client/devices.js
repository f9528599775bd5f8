export class DeviceList {
    byId = new Map();
    /** This browser first, then the most recently active. */
    all() {
        return [...this.byId.values()].sort((a, b) => Number(b.current) - Number(a.current) || Date.parse(b.lastActivity) - Date.parse(a.lastActivity));
    }
    get(id) {
        return (id !== undefined && this.byId.get(id)) || null;
    }
    replace(sessions, ownId) {
        this.byId.clear();
        for (const session of sessions)
            this.put(session, ownId);
    }
    put(session, ownId) {
        this.byId.set(session.id, { ...session, current: session.id === ownId });
    }
    /** Whether there was one to remove. */
    remove(id) {
        return this.byId.delete(id);
    }
    /** Applies an event about some device; returns whether the list changed. */
    apply(message, ownId) {
        if (isEnding(message))
            return message.sessionId !== undefined && this.remove(message.sessionId);
        if (message.session === undefined)
            return false;
        this.put(message.session, ownId);
        return true;
    }
    touch(id, lastActivity, idleExpiresAt) {
        const device = id === null ? undefined : this.byId.get(id);
        if (device)
            this.byId.set(device.id, { ...device, lastActivity, idleExpiresAt });
    }
    clear() {
        this.byId.clear();
    }
}
export function isEnding(message) {
    return message.type === 'session.deleted' || message.type === 'session.terminated';
}
