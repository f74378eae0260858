// What is done about messages that are there already, and what is seen of it.

export class Conversing {
    static METHODS = new Set(["redact", "wait_for_edit", "wait_for_redaction", "wait_for_typing"]);

    #client;
    #messages;
    #waiters;

    constructor(client, messages, waiters) {
        this.#client = client;
        this.#messages = messages;
        this.#waiters = waiters;
    }

    async redact({ room_id, event_id }) {
        return (await this.#client.redactEvent(room_id, event_id)).event_id;
    }

    // Until the latest version of a message has this in its text, and how often it was changed.
    async wait_for_edit({ room_id, event_id, body_contains, timeout_ms }) {
        const edits = () => this.#messages.edits(room_id, event_id);
        const contentOf = (event) => event.getOriginalContent()["m.new_content"];
        return await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${event_id} with ${JSON.stringify(body_contains)} in it`,
            timeoutMs: timeout_ms,
            check: async () => {
                const found = edits();
                const latest = found.at(-1);
                if (latest === undefined || !contentOf(latest).body?.includes(body_contains)) return undefined;
                return {
                    content: contentOf(latest),
                    latest: await this.#messages.describe(latest),
                    bodies: found.map((event) => contentOf(event).body ?? ""),
                };
            },
            seen: () => JSON.stringify(edits().map((event) => contentOf(event).body)),
        });
    }

    async wait_for_redaction({ room_id, event_id, timeout_ms }) {
        const event = () => this.#messages.in(room_id).find((event) => event.getId() === event_id);
        await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${event_id} without its content`,
            timeoutMs: timeout_ms,
            check: () => (event()?.isRedacted() ? true : undefined),
            seen: () => (event() === undefined ? "no such event" : "it is whole"),
        });
    }

    async wait_for_typing({ room_id, user_id, typing, timeout_ms }) {
        const member = () => this.#client.getRoom(room_id)?.getMember(user_id);
        await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${user_id} ${typing ? "typing" : "not typing"} in ${room_id}`,
            timeoutMs: timeout_ms,
            check: () => (member()?.typing === typing ? true : undefined),
            seen: () => (member() === undefined ? "not a member" : `typing: ${member()?.typing}`),
        });
    }
}
