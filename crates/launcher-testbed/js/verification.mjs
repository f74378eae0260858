// Verification of users and devices as Element does it, one step at a time.
//
// A verification is named by the id of its request. Both sides know it by that
// name, so a test may hand it from one user to the other.

import { cryptoApi } from "./sdk.mjs";

const SAS = "m.sas.v1";

export class Verifications {
    static METHODS = new Set([
        "request_verification", "request_own_verification", "request_device_verification",
        "wait_for_verification_request", "accept_verification", "cancel_verification",
        "start_sas", "wait_for_emojis", "confirm_emojis", "mismatch_emojis",
        "show_qr", "scan_qr", "confirm_scan", "wait_for_verification_end", "verification_phase",
    ]);

    #client;
    #waiters;
    // Id to `{ request, verifier, failure }`. Whoever drops a request hears no
    // more of it, so all of them are held.
    #flows = new Map();
    // The ids of those that others asked for and no test has been told of.
    #received = [];

    constructor(client, waiters) {
        this.#client = client;
        this.#waiters = waiters;
        client.on(cryptoApi.CryptoEvent.VerificationRequestReceived, (request) => {
            this.#received.push(this.#hold(request));
            this.#waiters.wake();
        });
    }

    // === Asking and answering ===

    async request_verification({ room_id, user_id, timeout_ms }) {
        await this.#waiters.until({
            awaited: `${this.#me} to know the identity of ${user_id}`,
            timeoutMs: timeout_ms,
            // Asks the homeserver about somebody the SDK does not follow.
            check: async () => (await this.#crypto.userHasCrossSigningKeys(user_id, true)) || undefined,
            seen: () => "none",
        });
        return this.#hold(await this.#crypto.requestVerificationDM(user_id, room_id));
    }

    async request_own_verification() {
        // A new device has not looked for the others yet, and would ask nobody.
        const hasIdentity = await this.#crypto.userHasCrossSigningKeys(this.#me, true);
        if (!hasIdentity) throw new Error(`${this.#me} has no identity`);
        return this.#hold(await this.#crypto.requestOwnUserVerification());
    }

    async request_device_verification({ user_id, device_id, timeout_ms }) {
        await this.#waiters.until({
            awaited: `${this.#me} to know device ${device_id} of ${user_id}`,
            timeoutMs: timeout_ms,
            check: async () => (await this.#crypto.getDeviceVerificationStatus(user_id, device_id)) ?? undefined,
            seen: () => "no such device",
        });
        return this.#hold(await this.#crypto.requestDeviceVerification(user_id, device_id));
    }

    async wait_for_verification_request({ from_user, timeout_ms }) {
        return await this.#waiters.until({
            awaited: `${this.#me} to be asked for a verification by ${from_user}`,
            timeoutMs: timeout_ms,
            check: () => {
                const index = this.#received.findIndex((id) => this.#flow(id).request.otherUserId === from_user);
                return index === -1 ? undefined : this.#received.splice(index, 1)[0];
            },
            seen: () => `${this.#received.length} requests of others`,
        });
    }

    async accept_verification({ flow }) {
        await this.#flow(flow).request.accept();
    }

    async cancel_verification({ flow }) {
        await this.#flow(flow).request.cancel();
    }

    // === Emojis ===

    // Where the other side has begun already, this one follows.
    async start_sas({ flow, timeout_ms }) {
        const { request } = await this.#untilReady(flow, timeout_ms);
        this.#run(flow, look(request).verifier ?? (await request.startVerification(SAS)));
    }

    async wait_for_emojis({ flow, timeout_ms }) {
        const { sas } = await this.#untilShown(flow, timeout_ms, "emojis", (verifier) => verifier.getShowSasCallbacks());
        return sas.emoji.map(([symbol]) => symbol);
    }

    async confirm_emojis({ flow }) {
        await this.#shownEmojis(flow).confirm();
    }

    async mismatch_emojis({ flow }) {
        this.#shownEmojis(flow).mismatch();
    }

    #shownEmojis(flow) {
        const shown = this.#flow(flow).verifier?.getShowSasCallbacks();
        if (!shown) throw new Error(`${this.#me} was not shown any emojis in ${flow}`);
        return shown;
    }

    // === QR codes ===

    async show_qr({ flow, timeout_ms }) {
        const { request } = await this.#untilReady(flow, timeout_ms);
        const code = await request.generateQRCode();
        if (!code) throw new Error(`${this.#me} has no code to show in ${flow}: the other side cannot scan one`);
        return [...code];
    }

    async scan_qr({ flow, code, timeout_ms }) {
        const { request } = await this.#untilReady(flow, timeout_ms);
        this.#run(flow, await request.scanQRCode(new Uint8ClampedArray(code)));
    }

    async confirm_scan({ flow, timeout_ms }) {
        const shown = (verifier) => verifier.getReciprocateQrCodeCallbacks();
        const { confirm } = await this.#untilShown(flow, timeout_ms, "that its code was scanned", shown);
        confirm();
    }

    // === How it goes ===

    async wait_for_verification_end({ flow, timeout_ms }) {
        const { request } = await this.#until(flow, timeout_ms, "to end", ({ request }) =>
            ["done", "cancelled"].includes(look(request).phase),
        );
        const cancelled = look(request).phase === "cancelled";
        // Both sides are the same user, and the SDK says no more than that.
        const isKnown = cancelled && !request.isSelfVerification;
        return {
            done: !cancelled,
            cancelled,
            code: request.cancellationCode,
            cancelled_by_us: isKnown ? request.cancellingUserId === this.#me : null,
        };
    }

    async verification_phase({ flow }) {
        return look(this.#flow(flow).request).phase;
    }

    get #me() {
        return this.#client.getUserId();
    }

    get #crypto() {
        return this.#client.getCrypto();
    }

    // Answers with the id.
    #hold(request) {
        request.on(cryptoApi.VerificationRequestEvent.Change, () => this.#waiters.wake());
        this.#flows.set(request.transactionId, { request, verifier: undefined, failure: undefined });
        return request.transactionId;
    }

    #flow(id) {
        const flow = this.#flows.get(id);
        if (flow === undefined) throw new Error(`${this.#me} knows no verification ${id}`);
        return flow;
    }

    // Its end is that of the request, so nobody awaits it here.
    #run(id, verifier) {
        const flow = this.#flow(id);
        if (flow.verifier === verifier) return;
        flow.verifier = verifier;
        verifier.on(cryptoApi.VerifierEvent.ShowSas, () => this.#waiters.wake());
        verifier.verify().catch((error) => {
            flow.failure = error;
            this.#waiters.wake();
        });
    }

    async #until(id, timeoutMs, awaited, isThere) {
        const flow = this.#flow(id);
        return await this.#waiters.until({
            awaited: `the verification ${id} of ${this.#me} ${awaited}`,
            timeoutMs,
            check: () => (isThere(flow) ? flow : undefined),
            seen: () => [look(flow.request).phase, flow.failure?.message].filter(Boolean).join(", "),
        });
    }

    // Until both sides are willing.
    async #untilReady(id, timeoutMs) {
        return await this.#until(id, timeoutMs, "to be accepted", ({ request }) => {
            const { phase, verifier } = lookAtOpen(request);
            return phase === "ready" || verifier !== undefined;
        });
    }

    // Until the verifier, which is set going once it is there, shows something.
    async #untilShown(id, timeoutMs, what, shown) {
        const isShown = (flow) => {
            const { verifier } = lookAtOpen(flow.request);
            if (verifier) this.#run(id, verifier);
            return flow.verifier !== undefined && shown(flow.verifier) !== null;
        };
        const { verifier } = await this.#until(id, timeoutMs, `to show ${what}`, isShown);
        return shown(verifier);
    }
}

// How far a request is, and what does the work once it has started.
function look(request) {
    try {
        return { phase: cryptoApi.VerificationPhase[request.phase].toLowerCase(), verifier: request.verifier };
    } catch {
        // The SDK learns of a start a moment before it has what does the work,
        // and fails when it is asked in between.
        return { phase: "started", verifier: undefined };
    }
}

// As above; what has ended fails, so that nobody waits for more of it.
function lookAtOpen(request) {
    const seen = look(request);
    if (seen.phase !== "done" && seen.phase !== "cancelled") return seen;
    const how = [seen.phase, request.cancellationCode].filter(Boolean).join(", ");
    throw new Error(`the verification ${request.transactionId} is over: ${how}`);
}
