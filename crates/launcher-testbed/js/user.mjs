// One logged-in user on the engine of Element, and what a test may ask of it.
//
// Every method named in METHODS, here or of one of the parts of a user, takes
// the parameters of one request and answers with its result. To teach users
// something new, add a method, its name in METHODS, and a Rust method of the
// same name.

import { cryptoApi, loggerFor, sdk } from "./sdk.mjs";
import { Conversing } from "./conversing.mjs";
import { Files } from "./files.mjs";
import { isReadable, Messages, reactsTo, repliesTo, threadOf } from "./messages.mjs";
import { Recovery } from "./recovery.mjs";
import { ToDevice } from "./to_device.mjs";
import { Verifications } from "./verification.mjs";
import { Waiters } from "./waiting.mjs";

const LOGIN_TIMEOUT_MS = 60_000;

export class User {
    static METHODS = new Set([
        "create_room", "enable_encryption", "invite", "join", "scroll_back", "leave", "kick", "send_state", "send_event",
        "wait_for_member", "wait_for_room", "messages", "wait_for_message", "wait_for_replies",
        "device_status", "wait_for_device", "user_devices", "discard_session", "delete_device",
        "set_unverified_devices", "user_status", "wait_for_verified_user", "wait_for_changed_identity",
        "reset_identity", "sign_own_device", "set_up_recovery", "recover", "wait_for_backup", "logout", "stop",
    ]);

    #client;
    #messages;
    #parts;
    #password;
    #recovery;
    #waiters = new Waiters();

    static async login({ homeserver, user_id, password, device_name, cross_signing, isolation, unverified_devices }) {
        const credentials = await sdk.createClient({ baseUrl: homeserver, logger: loggerFor(user_id) }).loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: user_id },
            password,
            initial_device_display_name: device_name ?? "testbed",
        });
        const recovery = new Recovery();
        const client = sdk.createClient({
            cryptoCallbacks: recovery.callbacks,
            baseUrl: homeserver,
            userId: credentials.user_id,
            deviceId: credentials.device_id,
            accessToken: credentials.access_token,
            logger: loggerFor(user_id),
        });
        const user = new User(client, recovery, password);
        await user.#start({ cross_signing, isolation, unverified_devices });
        return user;
    }

    constructor(client, recovery, password) {
        this.#client = client;
        this.#recovery = recovery;
        this.#password = password;
        this.#messages = new Messages(client);
        this.#parts = [
            this,
            new Verifications(client, this.#waiters),
            new ToDevice(client),
            new Files(client),
            new Conversing(client, this.#messages, this.#waiters),
        ];
        const wake = () => this.#waiters.wake();
        const remember = (event, roomId) => {
            this.#messages.add(event, roomId);
            wake();
        };
        client.on(sdk.RoomEvent.Timeline, (event, room) => remember(event, event.getRoomId() ?? room?.roomId));
        client.on(sdk.RoomEvent.LocalEchoUpdated, (event, room) => remember(event, room.roomId));
        client.on(sdk.MatrixEventEvent.Decrypted, (event) => {
            this.#messages.tried(event);
            wake();
        });
        client.on(sdk.RoomEvent.Redaction, wake);
        client.on(sdk.RoomMemberEvent.Typing, wake);
        client.on(sdk.RoomMemberEvent.Membership, wake);
        client.on(sdk.RoomStateEvent.Events, wake);
        client.on(sdk.RoomEvent.MyMembership, wake);
        client.on(sdk.ClientEvent.Room, wake);
        client.on(sdk.ClientEvent.Sync, wake);
        client.on(cryptoApi.CryptoEvent.DevicesUpdated, wake);
        client.on(cryptoApi.CryptoEvent.UserTrustStatusChanged, wake);
        client.on(cryptoApi.CryptoEvent.KeyBackupSessionsRemaining, wake);
    }

    account() {
        return {
            user_id: this.#client.getUserId(),
            device_id: this.#client.getDeviceId(),
            access_token: this.#client.getAccessToken(),
        };
    }

    async perform(method, params) {
        const part = this.#parts.find((part) => part.constructor.METHODS.has(method));
        if (part === undefined) throw new Error(`users have no method ${method}`);
        return await part[method](params);
    }

    async #start({ cross_signing, isolation, unverified_devices }) {
        const client = this.#client;
        await client.initRustCrypto({ useIndexedDB: false });
        const crypto = client.getCrypto();
        crypto.setDeviceIsolationMode(
            isolation === "only_signed"
                ? new cryptoApi.OnlySignedDevicesIsolationMode()
                : new cryptoApi.AllDevicesIsolationMode(false),
        );
        await this.set_unverified_devices({ unverified_devices });
        // Before the first sync, so that nobody ever sees this device unsigned.
        if (cross_signing !== "leave") await this.#bootstrapCrossSigning(cross_signing === "reset");
        // Members are not loaded lazily: a test that waits for one must see it.
        await client.startClient({ initialSyncLimit: 100, lazyLoadMembers: false, disablePresence: true });
        await this.#waiters.until({
            awaited: `the first sync of ${client.getUserId()}`,
            timeoutMs: LOGIN_TIMEOUT_MS,
            check: () => (["PREPARED", "SYNCING"].includes(client.getSyncState()) ? true : undefined),
            seen: () => `sync state ${client.getSyncState()}`,
        });
    }

    async #bootstrapCrossSigning(setupNewCrossSigning) {
        await this.#client.getCrypto().bootstrapCrossSigning({
            setupNewCrossSigning,
            authUploadDeviceSigningKeys: (makeRequest) => this.#withPassword(makeRequest),
        });
    }

    // Makes a request for which the homeserver may ask for the password.
    async #withPassword(makeRequest) {
        try {
            return await makeRequest(null);
        } catch (error) {
            if (error.httpStatus !== 401 || !error.data?.flows) throw error;
            return await makeRequest({
                type: "m.login.password",
                identifier: { type: "m.id.user", user: this.#client.getUserId() },
                password: this.#password,
                session: error.data.session,
            });
        }
    }

    // === Rooms ===

    async create_room({ name, encryption, invite, is_direct, preset, timeout_ms }) {
        const initial_state = encryption ? [{ type: "m.room.encryption", state_key: "", content: encryption }] : [];
        const { room_id } = await this.#client.createRoom({ name, invite, is_direct, preset, initial_state });
        await this.wait_for_room({ room_id, encrypted: Boolean(encryption), timeout_ms });
        return room_id;
    }

    async enable_encryption({ room_id, encryption, timeout_ms }) {
        await this.#client.sendStateEvent(room_id, "m.room.encryption", encryption, "");
        await this.wait_for_room({ room_id, encrypted: true, timeout_ms });
    }

    // Until this user is in the room and knows its state. Without that, a
    // message sent right after a join would go out in the clear.
    async wait_for_room({ room_id, encrypted, timeout_ms }) {
        const room = () => this.#client.getRoom(room_id);
        const isEncrypted = () => this.#client.getCrypto().isEncryptionEnabledInRoom(room_id);
        await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to be in ${room_id}${encrypted ? " with encryption on" : ""}`,
            timeoutMs: timeout_ms,
            check: async () => {
                if (room()?.getMyMembership() !== "join") return undefined;
                const state = room().currentState;
                if (state.getStateEvents("m.room.create", "") === null) return undefined;
                const wanted = encrypted || state.getStateEvents("m.room.encryption", "") !== null;
                return !wanted || (await isEncrypted()) ? true : undefined;
            },
            seen: async () =>
                room() === null ? "no such room" : `${room().getMyMembership()}, encrypted: ${await isEncrypted()}`,
        });
    }

    async invite({ room_id, user_id }) {
        await this.#client.invite(room_id, user_id);
    }

    async join({ room_id, timeout_ms }) {
        await this.#client.joinRoom(room_id);
        await this.wait_for_room({ room_id, encrypted: false, timeout_ms });
    }

    async scroll_back({ room_id }) {
        const timeline = this.#client.getRoom(room_id).getLiveTimeline();
        await this.#client.paginateEventTimeline(timeline, { backwards: true, limit: 100 });
    }

    async leave({ room_id }) {
        await this.#client.leave(room_id);
    }

    async kick({ room_id, user_id, reason }) {
        await this.#client.kick(room_id, user_id, reason ?? undefined);
    }

    async send_state({ room_id, type, state_key, content }) {
        return (await this.#client.sendStateEvent(room_id, type, content, state_key)).event_id;
    }

    async wait_for_member({ room_id, user_id, membership, timeout_ms }) {
        const member = () => this.#client.getRoom(room_id)?.getMember(user_id);
        await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${user_id} as "${membership}" in ${room_id}`,
            timeoutMs: timeout_ms,
            check: () => (member()?.membership === membership ? true : undefined),
            seen: () => member()?.membership ?? "not a member",
        });
    }

    // === Messages ===

    async send_event({ room_id, type, content }) {
        if (!this.#client.getRoom(room_id)) throw new Error(`${this.#client.getUserId()} knows no room ${room_id}`);
        return (await this.#client.sendEvent(room_id, type, content)).event_id;
    }

    async messages({ room_id }) {
        return await this.#messages.describeAll(room_id);
    }

    async wait_for_message({ room_id, wanted, timeout_ms }) {
        return await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see a message like ${JSON.stringify(wanted)} in ${room_id}`,
            timeoutMs: timeout_ms,
            check: () => {
                const found = this.#messages.in(room_id).find((event) => isLike(event, wanted));
                return found && this.#messages.describe(found);
            },
            seen: () => this.#messages.summary(room_id),
        });
    }

    async wait_for_replies({ room_id, event_id, count, timeout_ms }) {
        const replies = () => this.#messages.in(room_id).filter((e) => isReadable(e) && repliesTo(e) === event_id);
        return await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${count} replies to ${event_id} in ${room_id}`,
            timeoutMs: timeout_ms,
            check: () =>
                replies().length >= count ? Promise.all(replies().map((e) => this.#messages.describe(e))) : undefined,
            seen: () => `${replies().length} replies; ${this.#messages.summary(room_id)}`,
        });
    }

    // === Devices and keys ===

    async device_status({ user_id, device_id }) {
        const status = await this.#client.getCrypto().getDeviceVerificationStatus(user_id, device_id);
        return {
            known: status !== null,
            signed_by_owner: status?.signedByOwner ?? false,
            cross_signing_verified: status?.crossSigningVerified ?? false,
            locally_verified: status?.localVerified ?? false,
        };
    }

    // The SDK knows of a new device only after a later sync, and asking it for
    // the devices of somebody it tracks does not make it look.
    async wait_for_device({ user_id, device_id, signed, timeout_ms }) {
        const status = () => this.device_status({ user_id, device_id });
        return await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to know ${signed ? "and see signed " : ""}device ${device_id} of ${user_id}`,
            timeoutMs: timeout_ms,
            check: async () => {
                const now = await status();
                return now.known && (!signed || now.signed_by_owner) ? now : undefined;
            },
            seen: async () => JSON.stringify(await status()),
        });
    }

    // Straight from the homeserver; what the SDK holds may be older.
    async user_devices({ user_id }) {
        const answer = await this.#client.downloadKeysForUsers([user_id]);
        return Object.entries(answer.device_keys[user_id] ?? {}).map(([device_id, device]) => ({
            device_id,
            display_name: device.unsigned?.device_display_name ?? null,
            ed25519: device.keys[`ed25519:${device_id}`] ?? null,
            curve25519: device.keys[`curve25519:${device_id}`] ?? null,
        }));
    }

    async discard_session({ room_id }) {
        await this.#client.getCrypto().forceDiscardSession(room_id);
    }

    async delete_device({ device_id }) {
        await this.#withPassword((auth) => this.#client.deleteDevice(device_id, auth));
    }

    async set_unverified_devices({ unverified_devices }) {
        this.#client.getCrypto().globalBlacklistUnverifiedDevices = unverified_devices === "exclude";
    }

    // === Identities ===

    // The key is straight from the homeserver; the rest is what the SDK holds.
    async user_status({ user_id }) {
        const status = await this.#client.getCrypto().getUserVerificationStatus(user_id);
        const { master_keys } = await this.#client.downloadKeysForUsers([user_id]);
        return {
            verified: status.isCrossSigningVerified(),
            was_verified: status.wasCrossSigningVerified(),
            needs_approval: status.needsUserApproval,
            master_key: Object.values(master_keys?.[user_id]?.keys ?? {})[0] ?? null,
        };
    }

    async wait_for_verified_user({ user_id, timeout_ms }) {
        const wanted = (status) => status.isCrossSigningVerified();
        return await this.#untilUser(user_id, "verified", wanted, timeout_ms);
    }

    async wait_for_changed_identity({ user_id, timeout_ms }) {
        const wanted = (status) => status.needsUserApproval;
        return await this.#untilUser(user_id, "under another identity", wanted, timeout_ms);
    }

    async #untilUser(user_id, how, isThere, timeoutMs) {
        const status = () => this.#client.getCrypto().getUserVerificationStatus(user_id);
        return await this.#waiters.until({
            awaited: `${this.#client.getUserId()} to see ${user_id} ${how}`,
            timeoutMs,
            check: async () => (isThere(await status()) ? this.user_status({ user_id }) : undefined),
            seen: async () => JSON.stringify(await status()),
        });
    }

    async reset_identity() {
        // Where it is, the SDK would ask for its key in the middle of the change.
        if (await this.#client.secretStorage.hasKey()) throw new Error("the account has secret storage");
        await this.#bootstrapCrossSigning(true);
    }

    async sign_own_device({ device_id, timeout_ms }) {
        await this.wait_for_device({ user_id: this.#client.getUserId(), device_id, signed: false, timeout_ms });
        await this.#client.getCrypto().crossSignDevice(device_id);
    }

    // === Recovery ===

    async set_up_recovery({ passphrase }) {
        const crypto = this.#client.getCrypto();
        if (!(await crypto.isCrossSigningReady())) {
            // The SDK would replace it.
            const hasIdentity = await crypto.userHasCrossSigningKeys(this.#client.getUserId(), true);
            if (hasIdentity) throw new Error("the identity is there, but its private keys are not on this device");
            await this.#bootstrapCrossSigning(false);
        }
        return await this.#recovery.setUp(this.#client, passphrase);
    }

    async recover({ recovery_key, timeout_ms }) {
        const { imported, total } = await this.#recovery.recover(this.#client, recovery_key);
        // The SDK learns of its own signature with a later sync.
        const { user_id, device_id } = this.account();
        const { signed_by_owner } = await this.wait_for_device({ user_id, device_id, signed: true, timeout_ms });
        const backup_version = await this.#client.getCrypto().getActiveSessionBackupVersion();
        return { imported, total, cross_signed: signed_by_owner, backup_version };
    }

    // Straight from the homeserver; the SDK holds what it saw when it began.
    async wait_for_backup({ count, timeout_ms }) {
        const backup = () => this.#client.http.authedRequest(sdk.Method.Get, "/room_keys/version");
        await this.#waiters.until({
            awaited: `${count} keys in the backup of ${this.#client.getUserId()}`,
            timeoutMs: timeout_ms,
            check: async () => ((await backup()).count >= count ? true : undefined),
            seen: async () => JSON.stringify(await backup()),
        });
    }

    // === The end ===

    // Deletes the device on the homeserver as well.
    async logout() {
        await this.#client.logout(true);
    }

    async stop() {
        this.#client.stopClient();
    }
}

// A missing wish is no wish. An undecryptable event is like nothing but its
// sender and its fate, so it matches only when it was asked for.
function isLike(event, wanted) {
    const { event_id, sender, type, body, body_contains, msgtype, reply_to, reaction_to, thread } = wanted;
    if (event_id != null && event.getId() !== event_id) return false;
    if (sender != null && event.getSender() !== sender) return false;
    if (wanted.decryption_failure != null) return event.decryptionFailureReason === wanted.decryption_failure;
    if (wanted.undecryptable) return event.isDecryptionFailure();
    if (!isReadable(event) || event.isRedacted()) return false;
    if (type != null && event.getType() !== type) return false;
    const content = event.getOriginalContent();
    if (body != null && content.body !== body) return false;
    if (body_contains != null && !content.body?.includes(body_contains)) return false;
    if (msgtype != null && content.msgtype !== msgtype) return false;
    if (reply_to != null && repliesTo(event) !== reply_to) return false;
    if (reaction_to != null && reactsTo(event) !== reaction_to) return false;
    if (thread != null && threadOf(event) !== thread) return false;
    return true;
}
