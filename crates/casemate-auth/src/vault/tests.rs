use std::fs;

use super::*;

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn vault(&self) -> Arc<Vault> {
        let store = Store::open(&self.data()).unwrap();
        Arc::new(Vault::new(store, &self.data()).unwrap())
    }

    fn key_file(&self) -> PathBuf {
        self.data().join(FILE)
    }

    /// Everything on disk, as one haystack.
    fn disk(&self) -> Vec<u8> {
        let files = fs::read_dir(self.data()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

fn text(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

async fn shown(vault: &Vault, name: &str) -> Option<String> {
    vault.get(Kind::Secret, name).await.unwrap().map(|value| value.expose_secret().to_owned())
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn a_secret_comes_back_and_is_nowhere_on_disk() {
    let home = Home::new();
    let vault = home.vault();
    assert_eq!(shown(&vault, "github").await, None);
    assert!(!home.key_file().exists(), "looking creates no key");
    vault.set(Kind::Secret, "github", &text("ghp_open_sesame")).await.unwrap();
    assert_eq!(shown(&vault, "github").await.as_deref(), Some("ghp_open_sesame"));
    assert_eq!(shown(&home.vault(), "github").await.as_deref(), Some("ghp_open_sesame"));
    let disk = home.disk();
    assert!(holds(&disk, "github"), "names are no secret, and the haystack is the right one");
    assert!(!holds(&disk, "open_sesame"));
}

#[tokio::test]
async fn versions_count_and_removing_removes() {
    let home = Home::new();
    let vault = home.vault();
    for value in ["one", "two", "three"] {
        vault.set(Kind::Secret, "a", &text(value)).await.unwrap();
    }
    vault.set(Kind::Secret, "b", &text("x")).await.unwrap();
    let kept = vault.list(Kind::Secret).await.unwrap();
    let versions: Vec<_> = kept.iter().map(|kept| (kept.name.as_str(), kept.version)).collect();
    assert_eq!(versions, [("a", 3), ("b", 1)]);
    assert!(vault.list(Kind::Token).await.unwrap().is_empty(), "kinds are apart");
    assert!(vault.remove(Kind::Secret, "a").await.unwrap());
    assert!(!vault.remove(Kind::Secret, "a").await.unwrap());
    assert_eq!(shown(&vault, "a").await, None);
}

#[tokio::test]
async fn what_is_no_secret_is_refused() {
    let home = Home::new();
    let vault = home.vault();
    for value in [String::new(), "a\0b".to_owned(), "x".repeat(SECRET_BYTES_MAX + 1)] {
        assert!(matches!(vault.set(Kind::Secret, "a", &value.into()).await, Err(VaultFault::Value)));
    }
    assert!(!home.key_file().exists());
}

#[tokio::test]
async fn a_ciphertext_opens_under_its_own_name_kind_and_version_only() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "mine", &text("precious")).await.unwrap();
    vault.set(Kind::Secret, "yours", &text("bait")).await.unwrap();
    let store = Store::open(&home.data()).unwrap();
    let stolen = store.state().get("secret", "mine").await.unwrap().unwrap().value;

    let mut other_version = stolen.clone();
    other_version[16] += 1;
    let mut flipped = stolen.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut other_salt = stolen.clone();
    other_salt[20] ^= 1;
    let short = stolen[..30].to_vec();
    let attacks = [
        ("secret", "yours", stolen.clone()),
        ("token", "mine", stolen.clone()),
        ("secret", "mine", other_version),
        ("secret", "mine", flipped),
        ("secret", "mine", other_salt),
        ("secret", "mine", short),
        ("secret", "mine", Vec::new()),
    ];
    for (kind, name, value) in attacks {
        store.state().put(kind, name, value).await.unwrap();
        let kind = if kind == "token" { Kind::Token } else { Kind::Secret };
        let outcome = vault.get(kind, name).await;
        assert!(matches!(outcome, Err(VaultFault::Sealed { .. })), "{name}: {outcome:?}");
    }
    store.state().put("secret", "mine", stolen).await.unwrap();
    assert_eq!(shown(&vault, "mine").await.as_deref(), Some("precious"), "unchanged, it opens");
}

#[tokio::test]
async fn rotation_replaces_the_key_for_everyone_who_has_the_vault_open() {
    let home = Home::new();
    let (vault, other) = (home.vault(), home.vault());
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    vault.set(Kind::Token, "t", &text("token")).await.unwrap();
    assert_eq!(shown(&other, "a").await.as_deref(), Some("one"));
    let before = fs::read(home.key_file()).unwrap();
    let old = vault.store.state().get("secret", "a").await.unwrap().unwrap();

    assert_eq!(vault.rotate(None).await.unwrap(), 2);
    assert_ne!(fs::read(home.key_file()).unwrap(), before);
    let new = vault.store.state().get("secret", "a").await.unwrap().unwrap();
    assert_ne!(new.value, old.value);
    assert_eq!(new.updated, old.updated, "its age is the value's");

    // The other process still has the old key in memory: it reads and writes all the same.
    assert_eq!(shown(&other, "a").await.as_deref(), Some("one"));
    other.set(Kind::Secret, "b", &text("two")).await.unwrap();
    let fresh = home.vault();
    assert_eq!(shown(&fresh, "b").await.as_deref(), Some("two"));
    let token = fresh.get(Kind::Token, "t").await.unwrap().unwrap();
    assert_eq!(token.expose_secret(), "token");

    // Whoever kept the old key file and a copy of the new database has nothing.
    fs::write(home.key_file(), before).unwrap();
    assert!(home.vault().get(Kind::Secret, "a").await.is_err());
}

#[tokio::test]
async fn a_rotation_that_is_broken_off_at_any_step_loses_nothing() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    // The first step is done: both keys are in the file, and no value is under the new one.
    let both = vault.keyring().unwrap().unwrap().with_new().unwrap();
    vault.file.lock().unwrap().replace(both.to_text(None).unwrap().as_bytes()).unwrap();
    let after_first = home.vault();
    assert_eq!(shown(&after_first, "a").await.as_deref(), Some("one"));
    after_first.set(Kind::Secret, "b", &text("two")).await.unwrap();
    assert_eq!(shown(&home.vault(), "b").await.as_deref(), Some("two"));

    // The second is done too: values are under the new key, and the old one is still in the file.
    let name = both.newest().unwrap().name().to_vec();
    let reseal =
        move |kind: &str, name: &str, value: &[u8]| both.reseal(kind, name, value).map_err(str::to_owned);
    assert_eq!(vault.store.sealed().reseal(Kind::ALL, (name, Box::new(reseal))).await.unwrap(), 2);
    let after_second = home.vault();
    assert_eq!(shown(&after_second, "a").await.as_deref(), Some("one"));
    after_second.set(Kind::Secret, "c", &text("three")).await.unwrap();

    // The next rotation goes through, and one key is left.
    assert_eq!(after_second.rotate(None).await.unwrap(), 3);
    assert_eq!(after_second.keyring().unwrap().unwrap().keys_count(), 1);
    for (name, value) in [("a", "one"), ("b", "two"), ("c", "three")] {
        assert_eq!(shown(&home.vault(), name).await.as_deref(), Some(value));
    }
}

#[tokio::test]
async fn a_value_that_does_not_open_stops_a_rotation_before_it_changes_anything() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    vault.set(Kind::Secret, "b", &text("two")).await.unwrap();
    let mut broken = vault.store.state().get("secret", "b").await.unwrap().unwrap().value;
    *broken.last_mut().unwrap() ^= 1;
    vault.store.state().put("secret", "b", broken).await.unwrap();
    let fault = vault.rotate(None).await.unwrap_err().to_string();
    assert!(fault.contains("secret b"), "{fault}");
    assert_eq!(shown(&home.vault(), "a").await.as_deref(), Some("one"));
    home.vault().set(Kind::Secret, "a", &text("three")).await.unwrap();
    assert_eq!(shown(&home.vault(), "a").await.as_deref(), Some("three"));
}

#[tokio::test]
async fn with_a_passphrase_the_key_file_alone_opens_nothing() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    vault.rotate(Some(NewProtection::Passphrase(text("correct horse")))).await.unwrap();
    assert_eq!(shown(&vault, "a").await.as_deref(), Some("one"));

    let locked = home.vault();
    assert_eq!(locked.protection().unwrap(), Some(Protection::Passphrase));
    assert!(matches!(locked.get(Kind::Secret, "a").await, Err(VaultFault::Locked { .. })));
    assert!(matches!(locked.set(Kind::Secret, "b", &text("x")).await, Err(VaultFault::Locked { .. })));
    assert!(matches!(locked.rotate(None).await, Err(VaultFault::Locked { .. })));
    assert!(matches!(locked.unlock(text("battery staple")), Err(VaultFault::Passphrase { .. })));
    locked.unlock(text("correct horse")).unwrap();
    assert_eq!(shown(&locked, "a").await.as_deref(), Some("one"));
    locked.rotate(None).await.unwrap();
    assert_eq!(locked.protection().unwrap(), Some(Protection::Passphrase), "it stays as it was");

    locked.rotate(Some(NewProtection::File)).await.unwrap();
    assert_eq!(shown(&home.vault(), "a").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn the_file_knows_where_its_passphrase_is_and_not_what_it_is() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    assert_eq!(vault.keyring_item().unwrap(), None);
    let kept =
        |item: &str| NewProtection::Keyring { item: item.to_owned(), passphrase: text("from-the-keyring") };
    vault.rotate(Some(kept("0a1b"))).await.unwrap();

    let other = home.vault();
    assert_eq!(other.protection().unwrap(), Some(Protection::Keyring));
    assert_eq!(other.keyring_item().unwrap().as_deref(), Some("0a1b"));
    other.stays_locked("is in a keyring that is locked".to_owned());
    let locked = other.get(Kind::Secret, "a").await.unwrap_err().to_string();
    assert_eq!(locked, "the secrets are locked with a passphrase, which is in a keyring that is locked");
    assert!(!fs::read_to_string(home.key_file()).unwrap().contains("from-the-keyring"));
    other.unlock(text("from-the-keyring")).unwrap();
    assert_eq!(shown(&other, "a").await.as_deref(), Some("one"));
    other.rotate(None).await.unwrap();
    assert_eq!(other.keyring_item().unwrap().as_deref(), Some("0a1b"), "it stays as it was");

    other.rotate(Some(NewProtection::Passphrase(text("typed")))).await.unwrap();
    assert_eq!(home.vault().protection().unwrap(), Some(Protection::Passphrase));
    other.rotate(Some(kept("2c3d"))).await.unwrap();
    other.rotate(Some(NewProtection::File)).await.unwrap();
    assert_eq!(home.vault().keyring_item().unwrap(), None);
    assert_eq!(shown(&home.vault(), "a").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_key_file_of_somebody_else_is_refused() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("one")).await.unwrap();
    let good = fs::read_to_string(home.key_file()).unwrap();
    let greedy = r#"{"casemate_keys":1,"argon2id":{"memory_kib":4194304,"passes":3,"salt":"AAAAAAAAAAA"},"keys":[{"name":"AAAAAAAAAAA","key":"AAAA"}]}"#;
    let slow = greedy.replace("4194304", "1024").replace("\"passes\":3", "\"passes\":4000000000");
    let newer = good.replace("\"casemate_keys\": 1", "\"casemate_keys\": 2");
    for wrong in ["", "{}", "not json", greedy, &slow, &newer, &good.replace("\"key\":", "\"kee\":")] {
        fs::write(home.key_file(), wrong).unwrap();
        let vault = home.vault();
        let unlocked = vault.unlock(text("x"));
        assert!(matches!(unlocked, Err(VaultFault::Damaged { .. })), "{wrong}: {unlocked:?}");
        // And it is not replaced by a new one, which would lose what the old one opens.
        assert!(vault.set(Kind::Secret, "b", &text("x")).await.is_err(), "{wrong}");
        assert_eq!(fs::read_to_string(home.key_file()).unwrap(), wrong);
    }
}

#[tokio::test]
async fn of_many_first_writers_all_use_one_key() {
    let home = Home::new();
    let vaults: Vec<_> = (0..8).map(|_| home.vault()).collect();
    let set = |(index, vault): (usize, Arc<Vault>)| async move {
        vault.set(Kind::Secret, &format!("s{index}"), &text("value")).await.unwrap();
    };
    let mut tasks: tokio::task::JoinSet<()> = vaults.into_iter().enumerate().map(set).collect();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for index in 0..8 {
        assert_eq!(shown(&home.vault(), &format!("s{index}")).await.as_deref(), Some("value"));
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let home = Home::new();
    let vault = home.vault();
    vault.set(Kind::Secret, "a", &text("precious")).await.unwrap();
    let secrets = vault.secrets().await.unwrap();
    let key = fs::read_to_string(home.key_file()).unwrap();
    let key = key.split("\"key\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for printed in [format!("{vault:?}"), format!("{secrets:?}"), format!("{:?}", secrets.find("a"))] {
        assert!(!printed.contains("precious") && !printed.contains(&key), "{printed}");
    }
    assert_eq!(secrets.find("a").unwrap().unwrap().expose_secret(), "precious");
    assert!(secrets.find("b").unwrap().is_none());
}
