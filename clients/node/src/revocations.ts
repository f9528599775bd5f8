// Following endings over HTTP (`GET /revocations`), where Redis cannot be reached. A stream that
// breaks or falls silent is reopened with the last cursor, at any node of the auth service.

/**
 * The service sends something at least twice a second; a stream that is silent for this long, in ms,
 * is considered dead.
 */
const SILENCE_MS = 2000;

/** What a stream tells. */
export interface Listener {
  /** Endings before `since` (ms, by the service's clock) are not all told; `requestedAt` is of the monotonic clock, in ms. */
  begin(since: number, requestedAt: number): void;
  /** A session is over, as JSON. */
  ended(data: string): void;
  /** Everything that was stored before this moment of the monotonic clock, in ms, has been told. */
  reached(at: number): void;
}

export class RevocationStream {
  #cursor: string | undefined;
  #abort: AbortController | undefined;
  readonly #url: string;
  readonly #apiKey: string;

  constructor(url: string, apiKey: string) {
    this.#url = url;
    this.#apiKey = apiKey;
  }

  /** Reads one stream to its end. */
  async read(listener: Listener): Promise<void> {
    const abort = (this.#abort = new AbortController());
    const silence = setTimeout(() => abort.abort(new Error('the stream of endings is silent')), SILENCE_MS);
    silence.unref();
    try {
      const requestedAt = performance.now();
      const answer = await fetch(this.#url, {
        headers: {
          authorization: `Bearer ${this.#apiKey}`,
          accept: 'text/event-stream',
          ...(this.#cursor !== undefined && { 'last-event-id': this.#cursor }),
        },
        redirect: 'error',
        signal: abort.signal,
      });
      if (answer.status !== 200 || !answer.body) {
        // A cursor of another auth service is useless.
        if (answer.status === 422) this.#cursor = undefined;
        throw new Error(`the auth service answered ${answer.status} to ${this.#url}`);
      }
      let text = '';
      const decoder = new TextDecoder();
      for await (const chunk of answer.body) {
        silence.refresh();
        text += decoder.decode(chunk, { stream: true });
        const messages = text.split('\n\n');
        text = messages.pop() ?? '';
        for (const message of messages) this.#take(message, requestedAt, listener);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  close(): void {
    this.#abort?.abort();
  }

  #take(message: string, requestedAt: number, listener: Listener): void {
    let event = 'message', data = '', id: string | undefined;
    for (const line of message.split('\n')) {
      if (line.startsWith('event: ')) event = line.slice(7);
      else if (line.startsWith('data: ')) data = line.slice(6);
      else if (line.startsWith('id: ')) id = line.slice(4);
    }
    if (data === '') return;
    if (event === 'message') return listener.ended(data);
    const told = JSON.parse(data) as { since?: string; elapsedMs?: number };
    if (event === 'reset') listener.begin(Date.parse(told.since ?? ''), requestedAt);
    if (event === 'heartbeat' && typeof told.elapsedMs === 'number') {
      this.#cursor = id;
      // The service counts from when the request reached it, which was after it was sent. So this
      // time is never too late, whatever the delays on the way.
      listener.reached(requestedAt + told.elapsedMs);
    }
  }
}
