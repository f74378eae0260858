//! Values that must not be printed.

use std::fmt;

use zeroize::Zeroize;

/// A secret: no `Display`, a `Debug` that hides it, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

/// The 32 bytes under which an agent's crypto store and vault are encrypted.
pub type PickleKey = Secret<[u8; 32]>;

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Hands the value out. Whoever calls this must not log or store it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(…)");
        assert_eq!(format!("{:?}", Secret::new([7_u8; 32])), "Secret(…)");
    }
}
