"""Models made of models: mixtures, and systems in which community models help a main one."""
