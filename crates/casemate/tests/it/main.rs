//! One end-to-end test binary.
