"""What makes the single file, the Debian package and the image: `make dist`. Not part of what pip installs."""
