// Gets files from the homeserver and sends them, encrypted where rooms are.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

export class Files {
    static METHODS = new Set(["download", "send_file"]);

    #client;

    constructor(client) {
        this.#client = client;
    }

    // What is in the file of a message with this content, as base64. Spec 11.12.1.
    async download({ content }) {
        const url = this.#client.mxcUrlToHttp(
            content.file?.url ?? content.url, undefined, undefined, undefined, false, true, true,
        );
        const token = this.#client.getAccessToken();
        const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
        if (!answer.ok) throw new Error(`the homeserver answered ${answer.status}`);
        const stored = Buffer.from(await answer.arrayBuffer());
        const bytes = content.file ? decrypt(content.file, stored) : stored;
        return { bytes: bytes.toString("base64"), stored: stored.toString("base64") };
    }

    // Sends a file and returns the id of the message. Spec 11.2.1.6 and 11.12.1; MSC3245 for a voice.
    async send_file({ room_id, bytes, name, mimetype, caption, voice, announced, tampered, relation }) {
        const clear = Buffer.from(bytes, "base64");
        const kind = mimetype.split("/")[0];
        const content = {
            msgtype: ["image", "audio", "video"].includes(kind) ? `m.${kind}` : "m.file",
            body: caption ?? name,
            filename: name,
            info: { mimetype, size: announced ?? clear.length },
            "m.mentions": {},
        };
        if (voice) {
            content["org.matrix.msc3245.voice"] = {};
            content["org.matrix.msc1767.audio"] = { duration: voice, waveform: [0, 512, 1024] };
            content.info.duration = voice;
        }
        if (relation) content["m.relates_to"] = relation;
        if (await this.#client.getCrypto().isEncryptionEnabledInRoom(room_id)) {
            const { file, stored } = encrypt(clear);
            if (tampered) stored[stored.length - 1] ^= 1;
            content.file = { ...file, url: await this.#upload(stored, "application/octet-stream") };
        } else {
            content.url = await this.#upload(clear, mimetype);
        }
        return (await this.#client.sendEvent(room_id, "m.room.message", content)).event_id;
    }

    async #upload(bytes, type) {
        return (await this.#client.uploadContent(bytes, { type, includeFilename: false })).content_uri;
    }
}

function encrypt(clear) {
    const key = randomBytes(32);
    // The counter is the second half.
    const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
    const cipher = createCipheriv("aes-256-ctr", key, iv);
    const stored = Buffer.concat([cipher.update(clear), cipher.final()]);
    const unpadded = (text) => text.replace(/=+$/, "");
    const file = {
        v: "v2",
        key: { kty: "oct", alg: "A256CTR", ext: true, key_ops: ["encrypt", "decrypt"], k: key.toString("base64url") },
        iv: unpadded(iv.toString("base64")),
        hashes: { sha256: unpadded(createHash("sha256").update(stored).digest("base64")) },
    };
    return { file, stored };
}

function decrypt(file, stored) {
    const hash = createHash("sha256").update(stored).digest("base64").replace(/=+$/, "");
    if (hash !== file.hashes.sha256.replace(/=+$/, "")) throw new Error("the file is not what was sent");
    const key = Buffer.from(file.key.k, "base64url");
    const decipher = createDecipheriv("aes-256-ctr", key, Buffer.from(file.iv, "base64"));
    return Buffer.concat([decipher.update(stored), decipher.final()]);
}
