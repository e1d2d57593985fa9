//! The `ctsd` program: parses the command line and calls [`ctsd::cli`].

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    ctsd::cli::main()
}
