// Gets files from the homeserver, and decrypts those that are encrypted.

import { createDecipheriv, createHash } from "node:crypto";

export class Files {
    static METHODS = new Set(["download"]);

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
}

function decrypt(file, stored) {
    const hash = createHash("sha256").update(stored).digest("base64").replace(/=+$/, "");
    if (hash !== file.hashes.sha256.replace(/=+$/, "")) throw new Error("the file is not what was sent");
    const key = Buffer.from(file.key.k, "base64url");
    const decipher = createDecipheriv("aes-256-ctr", key, Buffer.from(file.iv, "base64"));
    return Buffer.concat([decipher.update(stored), decipher.final()]);
}
