//! Which scripts are *proven*: it is certain, from their source alone, that they touch only the keys that a call names.

/// Is it certain that this source touches only declared keys? So far of none.
pub fn is_proven(_code: &[u8]) -> bool {
    false
}
