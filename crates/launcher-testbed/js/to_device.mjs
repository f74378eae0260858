// Messages from device to device, in the clear, whatever they say.

// How many requests of a flood are on their way at the same time.
const AT_ONCE = 16;

export class ToDevice {
    static METHODS = new Set(["send_to_device", "flood_key_requests"]);

    #client;

    constructor(client) {
        this.#client = client;
    }

    async send_to_device({ type, messages }) {
        const perUser = Object.entries(messages).map(([user, perDevice]) => [user, new Map(Object.entries(perDevice))]);
        await this.#client.sendToDevice(type, new Map(perUser));
    }

    async flood_key_requests({ user_id, device_id, room_id, session_id, count }) {
        const flood = this.#client.makeTxnId();
        let sent = 0;
        const send = async () => {
            while (sent < count) {
                const content = {
                    action: "request",
                    body: { algorithm: "m.megolm.v1.aes-sha2", room_id, session_id },
                    request_id: `${flood}.${sent++}`,
                    requesting_device_id: this.#client.getDeviceId(),
                };
                await this.send_to_device({ type: "m.room_key_request", messages: { [user_id]: { [device_id]: content } } });
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, send));
    }
}
