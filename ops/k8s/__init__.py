"""Kubernetes manifests, generated from what the code itself knows: services, topics, who reads and writes which.

python -m ops.k8s            write deploy/k8s/base/generated
python -m ops.k8s --check    exit 1 when it differs
python -m ops.k8s --keys DIR make the contents of the services' secrets, for a new installation
"""
