//! Room `auth`.
