"""How our own checks are found: by a look at their folders, which must find what the import system would."""

import pkgutil

import dockernet_doctor_checks

from dockernet_doctor.diagnosis import registry


def test_our_modules_are_those_of_the_import_system() -> None:
    found = pkgutil.walk_packages(dockernet_doctor_checks.__path__, f"{registry.BUILTIN}.")
    assert registry._own_modules() == [module.name for module in found if not module.ispkg]
