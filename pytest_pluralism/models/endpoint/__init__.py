"""Models behind servers that speak the OpenAI-compatible protocol: vLLM, SGLang, TGI, llama.cpp, hosted APIs.

Nothing here is imported before such a model is loaded; :mod:`~pytest_pluralism.models.address`
reads its name.
"""
