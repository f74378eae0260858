//! Addresses and folders.

use launcher_core::secret::Secret;
use url::Url;

use super::Fault;

/// The base of a homeserver's API.
pub(crate) fn homeserver(text: &str) -> Result<Url, Fault> {
    let hint = "the agent logs in with `matrix.password` or `matrix.access_token`";
    base(text, "write `https://matrix.example.org`", hint)
}

/// The base of a Messager's API.
pub(crate) fn messager(text: &str) -> Result<Url, Fault> {
    let hint = "the agent shows the server its `messager.token`";
    base(text, "write `https://chat.example.org`", hint)
}

fn base(text: &str, example: &str, hint: &str) -> Result<Url, Fault> {
    // A password may stand in what only looks like an address.
    let guard = |fault: Fault| {
        if text.contains(['@', '?', '#']) { fault.hidden() } else { fault }
    };
    let url =
        Url::parse(text).map_err(|_| guard(Fault::new("is not an address").label(example)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(guard(Fault::new("is not an http or https address").label(example)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("has credentials in it")
            .label("remove what stands before the `@`")
            .hint(hint)
            .hidden());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new("has a query or a fragment")
            .label("remove the `?` or `#` and what follows")
            .hidden());
    }
    Ok(url)
}

/// An address to which something is posted. All of it may be a secret.
pub(crate) fn webhook(text: &str) -> Result<Secret<String>, Fault> {
    let url = Url::parse(text)
        .map_err(|_| Fault::new("is not an address").label("write `https://example.org/hook`"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(
            Fault::new("is not an http or https address").label("write `https://example.org/hook`")
        );
    }
    Ok(Secret::new(url.into()))
}

/// A path, which may not be empty.
pub(crate) fn folder(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        Err(Fault::new("is not a path").label("write a folder, or remove the key"))
    } else if text.contains('\0') {
        Err(Fault::new("is not a path: it has a NUL character"))
    } else {
        Ok(text.to_owned())
    }
}
