// Secret storage, key backup and the key that opens both, as Element does it.
//
// A key of secret storage is held only while it is needed, as Element holds it
// from the moment it is typed in until the secrets are there.

import { cryptoApi } from "./sdk.mjs";

const CROSS_SIGNING_SECRETS = ["m.cross_signing.master", "m.cross_signing.self_signing", "m.cross_signing.user_signing"];
const BACKUP_SECRET = "m.megolm_backup.v1";

export class Recovery {
    // Key id to key.
    #keys = new Map();

    // How the SDK asks for a key. Without one at hand it gives up, in words of
    // its own, where Element would ask the person.
    callbacks = {
        getSecretStorageKey: async ({ keys }) => {
            const id = Object.keys(keys).find((id) => this.#keys.has(id));
            return id === undefined ? null : [id, this.#keys.get(id)];
        },
        cacheSecretStorageKey: (id, _info, key) => void this.#keys.set(id, key),
    };

    // Answers with the recovery key. The identity has to be there, with its
    // private keys.
    async setUp(client, passphrase) {
        const crypto = client.getCrypto();
        const key = await crypto.createRecoveryKeyFromPassphrase(passphrase ?? undefined);
        try {
            await crypto.bootstrapSecretStorage({
                createSecretStorageKey: async () => key,
                setupNewSecretStorage: true,
                setupNewKeyBackup: (await crypto.getActiveSessionBackupVersion()) === null,
            });
        } finally {
            this.#keys.clear();
        }
        return key.encodedPrivateKey;
    }

    // Takes over the identity and the backup, and answers with what the backup
    // held.
    async recover(client, recoveryKey) {
        const id = await client.secretStorage.getDefaultKeyId();
        if (id === null) throw new Error("the account has no secret storage");
        this.#keys.set(id, cryptoApi.decodeRecoveryKey(recoveryKey));
        try {
            await this.#takeIdentity(client);
            return await this.#takeBackup(client);
        } finally {
            this.#keys.clear();
        }
    }

    async #takeIdentity(client) {
        // The SDK would make a new identity if one of them were missing.
        for (const name of CROSS_SIGNING_SECRETS) {
            if ((await client.secretStorage.isStored(name)) === null) throw new Error(`there is no ${name} in secret storage`);
        }
        const crypto = client.getCrypto();
        // Private keys are taken for public ones that are known only.
        await crypto.userHasCrossSigningKeys(client.getUserId(), true);
        await crypto.bootstrapCrossSigning({});
    }

    async #takeBackup(client) {
        if ((await client.secretStorage.isStored(BACKUP_SECRET)) === null) return { imported: 0, total: 0 };
        const crypto = client.getCrypto();
        await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
        await crypto.checkKeyBackupAndEnable();
        return await crypto.restoreKeyBackup();
    }
}
