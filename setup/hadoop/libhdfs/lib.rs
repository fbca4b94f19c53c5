// Cargo asks for a file here. See Cargo.toml.
