// Messages from device to device, whatever they say.

// How many requests of a flood are on their way at the same time.
const AT_ONCE = 16;

export class ToDevice {
    static METHODS = new Set(["send_to_device", "flood_key_requests", "forward_room_key"]);

    #client;

    constructor(client) {
        this.#client = client;
    }

    async send_to_device({ type, messages }) {
        const perUser = Object.entries(messages).map(([user, perDevice]) => [user, new Map(Object.entries(perDevice))]);
        await this.#client.sendToDevice(type, new Map(perUser));
    }

    async forward_room_key({ user_id, device_id, room_id, session_id }) {
        const crypto = this.#client.getCrypto();
        // Without it there may be no channel to the device yet.
        await crypto.getUserDeviceInfo([user_id], true);
        const keys = await crypto.exportRoomKeys();
        const key = keys.find((key) => key.room_id === room_id && key.session_id === session_id);
        if (!key) throw new Error(`no key of session ${session_id} in ${room_id}`);
        await this.#client.encryptAndSendToDevice("m.forwarded_room_key", [{ userId: user_id, deviceId: device_id }], {
            algorithm: key.algorithm,
            room_id,
            session_id,
            session_key: key.session_key,
            sender_key: key.sender_key,
            sender_claimed_ed25519_key: key.sender_claimed_keys.ed25519,
            forwarding_curve25519_key_chain: [],
        });
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
