"""Where the single file begins: the environment that its loaders changed is the host's again, then the tool runs."""

from dockernet_doctor.single_file import restore_environment

restore_environment()

from dockernet_doctor.__main__ import main  # noqa: E402 - no module may see the environment before

if __name__ == "__main__":  # as PyInstaller runs it
    main()
