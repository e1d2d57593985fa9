//! Room `backend`.
